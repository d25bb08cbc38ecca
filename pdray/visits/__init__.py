"""A patient per visit: joins the items of a visit into one score."""
