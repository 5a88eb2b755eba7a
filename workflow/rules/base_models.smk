"""Base models, which some generators adapt: fetched or made, and what their frozen parts make of the training images."""


localrules:
    fetch_base_model,


rule fetch_base_model:
    input:
        source=inputs.base_source,
    output:
        pipeline=directory("results/{study}/base_models/{base_model}/pipeline"),
    log:
        "results/{study}/logs/fetch_base_model/{base_model}.log",
    wildcard_constraints:
        base_model=any_of(study.base_models(own=False)),
    priority: 100
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.fetch_base_model,
        code=fingerprint("base_models", script="fetch_base_model"),
    script:
        "../scripts/fetch_base_model.py"


rule train_base_model:
    input:
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
    output:
        pipeline=directory("results/{study}/base_models/{base_model}/pipeline"),
    log:
        "results/{study}/logs/train_base_model/{base_model}.log",
    benchmark:
        "results/{study}/benchmarks/train_base_model/{base_model}.tsv"
    wildcard_constraints:
        base_model=any_of(study.base_models(own=True)),
    # Three generators wait for it.
    priority: 50
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        spec=specs.train_base_model,
        code=fingerprint("tiny_base_model", script="train_base_model"),
    script:
        "../scripts/train_base_model.py"


rule encode_images:
    input:
        base=inputs.base_model,
        images="results/{study}/data/train/images-{size}.npy",
    output:
        encodings="results/{study}/base_models/{base_model}/train-{size}.safetensors",
    log:
        "results/{study}/logs/encode_images/{base_model}/{size}.log",
    benchmark:
        "results/{study}/benchmarks/encode_images/{base_model}/{size}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=240,
    params:
        code=fingerprint("encodings", script="encode_images"),
    script:
        "../scripts/encode_images.py"


rule sample_prior:
    input:
        base=inputs.adapted,
    output:
        shard="results/{study}/generators/{generator}/prior.parquet",
        encodings="results/{study}/generators/{generator}/prior.safetensors",
    log:
        "results/{study}/logs/sample_prior/{generator}.log",
    benchmark:
        "results/{study}/benchmarks/sample_prior/{generator}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=480,
    params:
        spec=specs.sample_prior,
        code=fingerprint("prior", script="sample_prior"),
        # Derived from `threads` as well, so never compared: the images do not hang on it.
        batch_size=sampling_batch_size,
    script:
        "../scripts/sample_prior.py"
