"""Control: carries out commands as tasks and is the only writer of the control log.

`steps` and `records` decide and are pure; `provision` asks Storage, `topics` asks Kafka, `log` writes, `tasks` puts
them together for one command, `partition` keeps the commands of one partition in order, `process` is the Faust app.
"""
