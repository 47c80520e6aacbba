"""What is special to aerosol activation: contracts, physics head, classical schemes."""
