"""Images in: drawn or given, inspected, split by patient, rendered as arrays."""


rule draw_phantoms:
    output:
        manifest="results/{study}/phantoms/manifest.csv",
        images=directory("results/{study}/phantoms/images"),
    log:
        "results/{study}/logs/draw_phantoms.log",
    benchmark:
        "results/{study}/benchmarks/draw_phantoms.tsv"
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.draw_phantoms,
        code=fingerprint("phantoms", script="draw_phantoms"),
    script:
        "../scripts/draw_phantoms.py"


rule inspect_images:
    input:
        mendable(inputs.dataset),
    output:
        index="results/{study}/data/index.csv",
    log:
        "results/{study}/logs/inspect_images.log",
    benchmark:
        "results/{study}/benchmarks/inspect_images.tsv"
    # Before trainings, which external images do not wait for: what is wrong with them stops the study early.
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.inspect_images,
        code=fingerprint("ingestion", script="inspect_images"),
    script:
        "../scripts/inspect_images.py"


rule split_patients:
    input:
        index=f"{inputs.home}/data/index.csv",
    output:
        indices=expand("results/{{study}}/data/{split}/index.csv", split=study.splits),
        near_duplicates="results/{study}/data/near_duplicates.csv",
    log:
        "results/{study}/logs/split_patients.log",
    benchmark:
        "results/{study}/benchmarks/split_patients.tsv"
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.split_patients,
        code=fingerprint("splits", script="split_patients"),
    script:
        "../scripts/split_patients.py"


rule render_images:
    input:
        index="results/{study}/data/{split}/index.csv",
    output:
        images="results/{study}/data/{split}/images-{size}.npy",
    log:
        "results/{study}/logs/render_images/{split}/{size}.log",
    benchmark:
        "results/{study}/benchmarks/render_images/{split}/{size}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.render_images,
        code=fingerprint("ingestion", script="render_images"),
    script:
        "../scripts/render_images.py"


rule describe_data:
    input:
        unpack(inputs.described),
    output:
        demographics="results/{study}/scores/demographics.csv",
        classes="results/{study}/scores/classes.csv",
        duplicates="results/{study}/scores/duplicates.csv",
    log:
        "results/{study}/logs/describe_data.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.describe_data,
        code=fingerprint("cohort", script="describe_data"),
    script:
        "../scripts/describe_data.py"
