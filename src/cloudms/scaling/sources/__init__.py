"""Where numbers come from: what the cloud measures, SSH, the balancer, an experiment, or any command."""
