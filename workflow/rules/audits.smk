"""What scores can hide: metrics that do not see, images of the wrong class, images that give away their origin."""


localrules:
    collect_selftest,


rule selftest_features:
    input:
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
        index="results/{study}/data/train/index.csv",
        extractor=inputs.extractor,
    output:
        values="results/{study}/fidelity/selftest/features-{extractor}.csv",
    log:
        "results/{study}/logs/selftest_features/{extractor}.log",
    benchmark:
        "results/{study}/benchmarks/selftest_features/{extractor}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        spec=specs.selftest_features,
        code=codes.selftest("selftest_features"),
    script:
        "../scripts/selftest_features.py"


rule selftest_images:
    input:
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
        index="results/{study}/data/train/index.csv",
    output:
        values="results/{study}/fidelity/selftest/images.csv",
    log:
        "results/{study}/logs/selftest_images.log",
    benchmark:
        "results/{study}/benchmarks/selftest_images.tsv"
    conda:
        "../envs/gpu.yaml"
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        spec=specs.selftest_images,
        code=codes.selftest("selftest_images"),
    script:
        "../scripts/selftest_images.py"


rule collect_selftest:
    input:
        values=inputs.selftests,
    output:
        values="results/{study}/scores/metric_selftest.csv",
        responses="results/{study}/scores/metric_responses.csv",
    log:
        "results/{study}/logs/collect_selftest.log",
    conda:
        "../envs/stats.yaml"
    params:
        code=fingerprint("metric_selftest.responses", script="collect_selftest"),
    script:
        "../scripts/collect_selftest.py"


# A classifier that was trained on real images alone says what it takes synthetic ones for.
rule recognise_images:
    input:
        unpack(inputs.recognised),
    output:
        recognition="results/{study}/scores/recognition.csv",
        confusion="results/{study}/scores/confusion.csv",
    log:
        "results/{study}/logs/recognise_images.log",
    benchmark:
        "results/{study}/benchmarks/recognise_images.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=120,
    params:
        spec=specs.recognise_images,
        code=fingerprint("classifiers.recognition", script="recognise_images"),
    script:
        "../scripts/recognise_images.py"


rule detect_synthetic:
    input:
        unpack(inputs.detected),
    output:
        detection="results/{study}/scores/detection.csv",
    log:
        "results/{study}/logs/detect_synthetic.log",
    conda:
        "../envs/stats.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=specs.detect_synthetic,
        code=fingerprint("detector", script="detect_synthetic"),
    script:
        "../scripts/detect_synthetic.py"
