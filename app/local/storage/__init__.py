"""The Storage emulator: the part of Keboola's Storage API that Data Streams uses, on one machine, without Keboola.

For laptops and tests. Tables are in a DuckDB file (a bucket is a schema), uploads go to a moto S3 server that the
emulator starts (or to an emulator of Azure's or Google's storage, for tests of these), everything else is in an SQLite
file: all of it survives a restart, killed or not. It is judged by the unmodified kbcstorage client. `running` starts
one as a child process, `python -m app.local.storage` runs one in the foreground.

Not like Storage: upload credentials are not checked and allow any key; all columns are VARCHAR whatever their type;
column, table and bucket names must differ in more than case; files can be listed at once (Storage's file index lags by
up to a second).
"""

from app.local.storage.process import Emulator, running

__all__ = ["Emulator", "running"]
