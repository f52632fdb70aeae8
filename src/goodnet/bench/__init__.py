"""The benchmark: builds, scans and repairs a zoo of networks, and computes figures with confidence intervals."""
