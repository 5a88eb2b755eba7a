"""What readers say of the images: their files joined with the kits' keys, and the statistics of it.

`scales` holds the scores of each kind of kit, `exports` the readers' files, `keys` what a kit's items are, `validation`
what is wrong with ratings, `joining` the rows of scores/rating_rows.csv, `summaries` means of them, `comparisons` rank
tests, `preferences` ratings that have a middle, `agreement` readers with themselves and each other, `discrimination`
real images told from synthetic ones, `correlations` ratings beside other scores, `figure` and `examples` Figures 6 and
5 of the paper, `outputs` the files.
"""
