from synthworth.seeds import seed


def test_seed_is_a_function_of_its_names():
    assert seed(1, "image", "ddpm", "viral", 7) == seed(1, "image", "ddpm", "viral", 7)


def test_seed_changes_with_every_name():
    seeds = {seed(1, "a", 1), seed(2, "a", 1), seed(1, "b", 1), seed(1, "a", 2), seed(1, "a1"), seed(1, "a", "1")}
    assert len(seeds) == 6


def test_seed_fits_every_library():
    assert all(0 <= seed(0, index) < 2**63 for index in range(1000))


def test_seed_stays_what_it_was():
    # A changed hash would silently change every image of every finished study.
    assert seed(1, "image", "ddpm", "viral", 0) == 8834793815350872226
