"""Where the units of a run are answered: in this process, in others on this machine, or on a Ray cluster."""
