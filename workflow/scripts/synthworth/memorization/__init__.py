"""The memorisation audit: does a generator give back the images it was trained on?

`copies` finds, for one image, the training image it is most like, and `plants` makes known copies to find. `nearest`
compares feature vectors, and `comparison` puts the three together. `scores` are the formulas; `power` says what false
alarms and what missed copies to expect; `audit` is that of one generator and class. `outputs` are the files, `sheets`
the figures.

Two files make an audit. The *reference* of a class compares held-out real images and planted copies with the training
images: it knows no generator and is made once per study, class and extractor. The *comparison* does the same for the
synthetic images of a checkpoint. No score leaves the audit without its power.
"""
