"""From predictions to scores, comparisons and the verdict."""


localrules:
    collect_fidelity,
    compare_generators,
    estimate_worth,
    reach_verdict,


rule collect_runs:
    input:
        predictions=inputs.predictions,
    output:
        runs="results/{study}/scores/runs.csv",
        cells="results/{study}/scores/cells.csv",
    log:
        "results/{study}/logs/collect_runs.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.collect_runs,
        code=fingerprint("scores", script="collect_runs"),
    script:
        "../scripts/collect_runs.py"


rule collect_fidelity:
    input:
        curves=inputs.curves,
        selections=inputs.selections,
        floors=inputs.floors,
    output:
        fidelity="results/{study}/scores/fidelity.csv",
    log:
        "results/{study}/logs/collect_fidelity.log",
    conda:
        "../envs/stats.yaml"
    params:
        code=fingerprint("fidelity.selection", script="collect_fidelity"),
    script:
        "../scripts/collect_fidelity.py"


rule compare_arms:
    input:
        predictions=inputs.predictions,
    output:
        comparisons="results/{study}/scores/comparisons.csv",
        components="results/{study}/scores/components.csv",
    log:
        "results/{study}/logs/compare_arms.log",
    benchmark:
        "results/{study}/benchmarks/compare_arms.tsv"
    conda:
        "../envs/stats.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.compare_arms,
        code=fingerprint("statistics.outputs", script="compare_arms"),
    script:
        "../scripts/compare_arms.py"


rule estimate_worth:
    input:
        predictions=inputs.predictions,
        indices=inputs.training_indices,
    output:
        worth="results/{study}/scores/worth.csv",
    log:
        "results/{study}/logs/estimate_worth.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.estimate_worth,
        code=fingerprint("statistics.outputs", script="estimate_worth"),
    script:
        "../scripts/estimate_worth.py"


rule compare_generators:
    input:
        runs="results/{study}/scores/runs.csv",
    output:
        generators="results/{study}/scores/generators.csv",
    log:
        "results/{study}/logs/compare_generators.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.compare_generators,
        code=fingerprint("statistics.outputs", script="compare_generators"),
    script:
        "../scripts/compare_generators.py"


rule reach_verdict:
    input:
        comparisons="results/{study}/scores/comparisons.csv",
    output:
        verdict="results/{study}/scores/verdict.json",
    log:
        "results/{study}/logs/reach_verdict.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.reach_verdict,
        code=fingerprint("statistics.outputs", script="reach_verdict"),
    script:
        "../scripts/reach_verdict.py"
