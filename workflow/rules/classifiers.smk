"""Classifiers: trained on an arm with a seed, evaluated once on the test split."""


localrules:
    fetch_classifier,


rule fetch_classifier:
    output:
        weights="results/{study}/weights/{classifier}.safetensors",
    log:
        "results/{study}/logs/fetch_classifier/{classifier}.log",
    priority: 100
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.fetch_classifier,
        code=fingerprint("classifiers.models", script="fetch_classifier"),
    script:
        "../scripts/fetch_classifier.py"


rule train_classifier:
    input:
        unpack(inputs.training_data),
    output:
        classifier=directory("results/{study}/classifiers/{classifier}/{arm}/seed-{seed}/model"),
    log:
        "results/{study}/logs/train_classifier/{classifier}/{arm}/{seed}.log",
    benchmark:
        "results/{study}/benchmarks/train_classifier/{classifier}/{arm}/{seed}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        shares_gpu=1,
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=720,
    params:
        spec=specs.train_classifier,
        code=fingerprint("classifiers.training", script="train_classifier"),
    script:
        "../scripts/train_classifier.py"


rule evaluate_classifier:
    input:
        unpack(inputs.test_data),
    output:
        predictions="results/{study}/classifiers/{classifier}/{arm}/seed-{seed}/predictions.csv",
    log:
        "results/{study}/logs/evaluate_classifier/{classifier}/{arm}/{seed}.log",
    benchmark:
        "results/{study}/benchmarks/evaluate_classifier/{classifier}/{arm}/{seed}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        shares_gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        spec=specs.evaluate_classifier,
        code=fingerprint("classifiers.evaluation", script="evaluate_classifier"),
    script:
        "../scripts/evaluate_classifier.py"
