"""The synthetic images of the study: shards from the chosen checkpoints, and which of their images are copies."""


localrules:
    collect_copies,


rule synthesize_shard:
    input:
        selected="results/{study}/fidelity/{generator}/selected.json",
        texts=inputs.prompted,
    output:
        shard="results/{study}/synthesis/{generator}/{label}/images-{first}-{last}.parquet",
    log:
        "results/{study}/logs/synthesize_shard/{generator}/{label}/{first}/{last}.log",
    benchmark:
        "results/{study}/benchmarks/synthesize_shard/{generator}/{label}/{first}/{last}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=480,
    params:
        # The chosen one of these is known only when the job runs; `selected` comes after all of them.
        checkpoints="results/{study}/generators/{generator}",
        spec=specs.synthesize_shard,
        code=codes.sampling("synthesize_shard"),
        # Derived from `threads` as well, so never compared: the images do not hang on it.
        batch_size=sampling_batch_size,
    script:
        "../scripts/synthesize_shard.py"


rule render_shard:
    input:
        shard="results/{study}/synthesis/{generator}/{label}/images-{first}-{last}.parquet",
    output:
        images="results/{study}/synthesis/{generator}/{label}/images-{first}-{last}-{size}.npy",
    log:
        "results/{study}/logs/render_shard/{generator}/{label}/{first}/{last}/{size}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        mem_mb=4000,
    params:
        code=fingerprint("shards", script="render_shard"),
    script:
        "../scripts/render_shard.py"


rule flag_copies:
    input:
        unpack(inputs.flagging),
        shard="results/{study}/synthesis/{generator}/{label}/images-{first}-{last}.parquet",
    output:
        flags="results/{study}/memorization/{generator}/{label}/images-{first}-{last}.csv",
    log:
        "results/{study}/logs/flag_copies/{generator}/{label}/{first}/{last}.log",
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.flag_copies,
        code=codes.copies("flagging", "flag_copies"),
    script:
        "../scripts/flag_copies.py"


rule collect_copies:
    input:
        flags=inputs.flags,
    output:
        copies="results/{study}/scores/copies.csv",
    log:
        "results/{study}/logs/collect_copies.log",
    conda:
        "../envs/stats.yaml"
    params:
        code=fingerprint("memorization.outputs", script="collect_copies"),
    script:
        "../scripts/collect_copies.py"
