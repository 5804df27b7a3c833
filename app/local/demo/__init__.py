"""The demo: real departures from New York in 2013, half over HTTP, half straight into the topic, into two tables.

It goes on where an earlier run was stopped (Kafka itself says which flights are there) and ends with counts that must
add up.
"""

from app.local.demo.run import DemoFailed, run_demo

__all__ = ["DemoFailed", "run_demo"]
