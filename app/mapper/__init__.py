"""The mapper process: receiver topics to envelopes of rows. One consumer group, one loop, one lane per partition."""
