"""External test sets: each lies under results/<study>/external/<name>/ as a study of nothing but test images."""


localrules:
    collect_external,


ruleorder: check_external > split_patients


rule check_external:
    input:
        index="results/{study}/data/index.csv",
        own=expand(f"{inputs.home}/data/{{split}}/index.csv", split=study.splits),
    output:
        index="results/{study}/data/test/index.csv",
        near_duplicates="results/{study}/data/near_duplicates.csv",
    log:
        "results/{study}/logs/check_external.log",
    wildcard_constraints:
        study=any_of(study.external),
    # Before trainings: patients who are not others stop the study early.
    priority: 100
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.check_external,
        code=fingerprint("external", script="check_external"),
    script:
        "../scripts/check_external.py"


rule collect_external:
    input:
        own=expand(f"{inputs.home}/scores/{{scores}}.csv", scores=["comparisons", "cells"]),
        comparisons=expand("results/{external}/scores/comparisons.csv", external=study.external),
        cells=expand("results/{external}/scores/cells.csv", external=study.external),
        near_duplicates=expand("results/{external}/data/near_duplicates.csv", external=study.external),
    output:
        effects="results/{study}/scores/external.csv",
    log:
        "results/{study}/logs/collect_external.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.collect_external,
        code=fingerprint("external", script="collect_external"),
    script:
        "../scripts/collect_external.py"
