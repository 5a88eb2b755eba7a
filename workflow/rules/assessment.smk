"""Readers' assessment: a blind kit goes out to them."""


rule make_rating_kit:
    input:
        unpack(inputs.rated),
    output:
        kit=directory("results/{study}/assessment/{mode}/kit"),
        key="results/{study}/assessment/{mode}/key.csv",
    log:
        "results/{study}/logs/make_rating_kit/{mode}.log",
    benchmark:
        "results/{study}/benchmarks/make_rating_kit/{mode}.tsv"
    conda:
        "../envs/stats.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=specs.make_rating_kit,
        page=contents(*(HOUSE / "workflow" / "rating_kit").iterdir()),
        code=fingerprint("rating_kit.outputs", script="make_rating_kit"),
    script:
        "../scripts/make_rating_kit.py"
