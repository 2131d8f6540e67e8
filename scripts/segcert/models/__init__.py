"""What the networks are: architectures, the registry, saving and loading, and the device they run on."""
