"""The process aerosol activation: contracts, physics head, classical schemes."""
