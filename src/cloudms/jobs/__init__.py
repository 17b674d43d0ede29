"""Experiments: what is run as many tasks on many nodes, and the engines that run it.

`spec` is what was asked, `base` what an engine is, `store` the documents, `task` how a task changes; `ssh_engine` runs
tasks on VMs by itself, `agent.sh` is its half on the node.
"""
