"""Wait until somebody listens to the named queues: a message to a queue that is not there yet is lost."""

import sys
import time

import amqp

address, vhost, seconds, *names = sys.argv[1:]
end = time.monotonic() + float(seconds)
there = False
while names or not there:
    try:
        with amqp.Connection(address, virtual_host=vhost or "/") as bus:
            there = True
            while names:
                if bus.channel().queue_declare(names[0], passive=True).consumer_count:
                    del names[0]
                elif time.monotonic() > end:
                    break
                else:
                    time.sleep(0.1)
    except (OSError, amqp.AMQPError):
        if time.monotonic() > end:
            sys.exit(f"nobody listens to {', '.join(names) or 'the bus'}")
        time.sleep(0.1)
