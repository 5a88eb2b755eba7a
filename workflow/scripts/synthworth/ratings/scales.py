"""The scores that readers give, by mode of the kit, each with its lowest and highest value. Whole numbers."""

SCALES = {
    "single": {"quality": (1, 5), "plausibility": (1, 3)},
    "pair": {"preference": (-2, 2)},
    "prompt": {"agreement": (-2, 2)},
}
# Scores that have a middle, 0: neither side preferred, half of the prompt shown.
CENTRED = [score for mode in ("pair", "prompt") for score in SCALES[mode]]
# Scores that are the higher, the better the real image is: of a generator the lower one is the better.
FOR_REAL = ["preference"]
# In place of a generator: real images.
REAL = "real"
# In place of a generator, a class or a reader: all of them.
ALL = "all"
