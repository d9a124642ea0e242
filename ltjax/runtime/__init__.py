"""What a run runs on: devices, hosts, processes, signals, terminal, command line."""
