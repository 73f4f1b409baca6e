"""Where speech lies in a recording and whether a text belongs to it: plain functions that segmenters, recognisers and their stages share."""
