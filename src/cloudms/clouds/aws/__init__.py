"""Amazon's EC2 and everything that speaks like it: the cloud of kind `aws`."""
