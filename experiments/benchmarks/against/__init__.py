"""What the comparisons with peers share: reading a data set, forecasts of ours and of peers, scores."""
