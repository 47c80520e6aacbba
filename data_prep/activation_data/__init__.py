"""Making of the aerosol activation data set: sampling, labelling by the parcel model, writing."""
