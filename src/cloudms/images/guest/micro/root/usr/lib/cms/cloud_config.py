import sys

print("cloud-config is not known yet")
sys.exit(1)
