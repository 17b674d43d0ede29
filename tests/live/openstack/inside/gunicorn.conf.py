"""How a service is served: a process with threads.

Each service reads the arguments of its process, which must not be gunicorn's. Lines may be of any length, since nova
asks neutron about hundreds of VMs in one address; connections live longer than the two seconds between two looks.
"""

import os
import sys

bind = "127.0.0.1:" + os.environ["LAB_BIND"]
wsgi_app = os.environ["LAB_APP"]
threads = 8
timeout = 300
keepalive = 75
limit_request_line = 0
control_socket_disable = True
sys.argv[1:] = os.environ.get("LAB_ARGUMENTS", "").split()
