"""What a run would cost: network evaluations, hours on named hardware, disk, wall time, before anything is run."""
