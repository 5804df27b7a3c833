"""The HTTP routes of the emulator, one module for each noun of the Storage API, and `local` for its own."""
