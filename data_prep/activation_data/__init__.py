"""Make the aerosol activation data set: sampling, labelling with the parcel model, writing."""
