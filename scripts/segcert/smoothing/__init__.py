"""Code that runs networks on noisy images: noise, sampling and attacks."""
