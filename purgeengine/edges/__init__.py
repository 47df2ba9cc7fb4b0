"""The edges touch the world: files, disks, the network, the clock. They decide nothing about rows."""
