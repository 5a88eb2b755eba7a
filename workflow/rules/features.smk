"""Features of images: an extractor, fetched or trained on the study, and what it makes of each image set."""


localrules:
    fetch_extractor,


rule fetch_extractor:
    output:
        weights=directory("results/{study}/weights/{extractor}"),
    log:
        "results/{study}/logs/fetch_extractor/{extractor}.log",
    priority: 100
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.fetch_extractor,
        code=codes.extractor("fetch_extractor"),
    script:
        "../scripts/fetch_extractor.py"


rule train_extractor:
    input:
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
        index="results/{study}/data/train/index.csv",
    output:
        extractor=directory("results/{study}/fidelity/extractors/{extractor}"),
    log:
        "results/{study}/logs/train_extractor/{extractor}.log",
    benchmark:
        "results/{study}/benchmarks/train_extractor/{extractor}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        spec=specs.train_extractor,
        code=fingerprint("domain_extractor", script="train_extractor"),
    script:
        "../scripts/train_extractor.py"


rule reference_features:
    input:
        images="results/{study}/data/{split}/images-{size}.npy",
        index="results/{study}/data/{split}/index.csv",
        extractor=inputs.extractor,
    output:
        features="results/{study}/fidelity/reference/{extractor}/{split}-{size}.npz",
    log:
        "results/{study}/logs/reference_features/{extractor}/{split}-{size}.log",
    benchmark:
        "results/{study}/benchmarks/reference_features/{extractor}/{split}-{size}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        spec=specs.reference_features,
        code=codes.extractor("reference_features"),
    script:
        "../scripts/reference_features.py"


rule extract_features:
    input:
        samples="results/{study}/fidelity/{generator}/{scope}/step-{step}/samples.parquet",
        extractor=inputs.extractor,
    output:
        features="results/{study}/fidelity/{generator}/{scope}/step-{step}/features-{extractor}.npz",
    log:
        "results/{study}/logs/extract_features/{generator}/{scope}/{step}/{extractor}.log",
    benchmark:
        "results/{study}/benchmarks/extract_features/{generator}/{scope}/{step}/{extractor}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        spec=specs.extract_features,
        code=codes.extractor("extract_features"),
    script:
        "../scripts/extract_features.py"
