"""Readers' ratings in: joined with the keys of the kits, then what follows from them."""


localrules:
    read_ratings,
    summarise_ratings,
    summarise_preferences,
    compare_ratings,
    correlate_ratings,


rule read_ratings:
    input:
        unpack(inputs.exports),
    output:
        rows="results/{study}/scores/rating_rows.csv",
    log:
        "results/{study}/logs/read_ratings.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.read_ratings,
        code=fingerprint("ratings.joining", script="read_ratings"),
    script:
        "../scripts/read_ratings.py"


rule summarise_ratings:
    input:
        rows="results/{study}/scores/rating_rows.csv",
    output:
        ratings="results/{study}/scores/ratings.csv",
    log:
        "results/{study}/logs/summarise_ratings.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.summarise_ratings,
        code=fingerprint("ratings.outputs", script="summarise_ratings"),
    script:
        "../scripts/summarise_ratings.py"


rule summarise_preferences:
    input:
        rows="results/{study}/scores/rating_rows.csv",
    output:
        preferences="results/{study}/scores/rating_preferences.csv",
    log:
        "results/{study}/logs/summarise_preferences.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.summarise_preferences,
        code=fingerprint("ratings.outputs", script="summarise_preferences"),
    script:
        "../scripts/summarise_preferences.py"


rule compare_ratings:
    input:
        rows="results/{study}/scores/rating_rows.csv",
    output:
        tests="results/{study}/scores/rating_tests.csv",
        agreement="results/{study}/scores/rating_agreement.csv",
        discrimination="results/{study}/scores/rating_discrimination.csv",
    log:
        "results/{study}/logs/compare_ratings.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.compare_ratings,
        code=fingerprint("ratings.outputs", script="compare_ratings"),
    script:
        "../scripts/compare_ratings.py"


rule correlate_ratings:
    input:
        rows="results/{study}/scores/rating_rows.csv",
        fidelity="results/{study}/scores/fidelity.csv",
        comparisons="results/{study}/scores/comparisons.csv",
    output:
        correlations="results/{study}/scores/rating_correlations.csv",
    log:
        "results/{study}/logs/correlate_ratings.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.correlate_ratings,
        code=fingerprint("ratings.outputs", script="correlate_ratings"),
    script:
        "../scripts/correlate_ratings.py"


rule draw_rating_examples:
    input:
        unpack(inputs.rated_kits),
        rows="results/{study}/scores/rating_rows.csv",
    output:
        png=report(
            "results/{study}/figures/figure5_examples.png",
            caption="../report/figure5_examples.rst",
            category="Images",
        ),
        pdf="results/{study}/figures/figure5_examples.pdf",
    log:
        "results/{study}/logs/draw_rating_examples.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_rating_examples,
        code=fingerprint("ratings.examples", script="draw_rating_examples"),
    script:
        "../scripts/draw_rating_examples.py"
