"""How near the synthetic images come to the real ones, checkpoint by checkpoint, and which checkpoint is chosen."""


localrules:
    collect_curves,
    select_checkpoint,


rule sample_checkpoint:
    input:
        checkpoint="results/{study}/generators/{generator}/{scope}/step-{step}",
        texts=inputs.prompted,
    output:
        samples="results/{study}/fidelity/{generator}/{scope}/step-{step}/samples.parquet",
    log:
        "results/{study}/logs/sample_checkpoint/{generator}/{scope}/{step}.log",
    benchmark:
        "results/{study}/benchmarks/sample_checkpoint/{generator}/{scope}/{step}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=240,
    params:
        spec=specs.sample_checkpoint,
        code=codes.sampling("sample_checkpoint"),
        # Derived from `threads` as well, so never compared: the images do not hang on it.
        batch_size=sampling_batch_size,
    script:
        "../scripts/sample_checkpoint.py"


rule score_checkpoint:
    input:
        unpack(inputs.scored),
    output:
        score="results/{study}/fidelity/{generator}/{scope}/step-{step}/{metric}.csv",
    log:
        "results/{study}/logs/score_checkpoint/{generator}/{scope}/{step}/{metric}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=specs.score_checkpoint,
        code=codes.metric("score_checkpoint"),
    script:
        "../scripts/score_checkpoint.py"


# What a metric says where nothing is synthetic: real images against other real ones.
rule measure_floor:
    input:
        unpack(inputs.floor_images),
    output:
        floor="results/{study}/fidelity/floors/{metric}.csv",
    log:
        "results/{study}/logs/measure_floor/{metric}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.measure_floor,
        code=codes.metric("measure_floor"),
    script:
        "../scripts/measure_floor.py"


rule collect_curves:
    input:
        scores=inputs.checkpoint_scores,
    output:
        curves="results/{study}/fidelity/{generator}/curves.csv",
    log:
        "results/{study}/logs/collect_curves/{generator}.log",
    conda:
        "../envs/stats.yaml"
    params:
        code=fingerprint("fidelity.selection", script="collect_curves"),
    script:
        "../scripts/collect_curves.py"


rule select_checkpoint:
    input:
        scores=inputs.selection_scores,
    output:
        selected="results/{study}/fidelity/{generator}/selected.json",
    log:
        "results/{study}/logs/select_checkpoint/{generator}.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.select_checkpoint,
        code=fingerprint("fidelity.selection", script="select_checkpoint"),
    script:
        "../scripts/select_checkpoint.py"
