"""Do generators give back the images that they were trained on? And how many copies would this audit find?"""


localrules:
    collect_memorization,


rule compare_real_images:
    input:
        unpack(inputs.real_images),
        extractor=inputs.memorization_extractor,
    output:
        comparisons="results/{study}/memorization/reference/{size}/{label}/comparisons.csv",
        twins="results/{study}/memorization/reference/{size}/{label}/twins.csv",
    log:
        "results/{study}/logs/compare_real_images/{size}/{label}.log",
    benchmark:
        "results/{study}/benchmarks/compare_real_images/{size}/{label}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.compare_real_images,
        code=codes.copies("comparing", "compare_real_images"),
    script:
        "../scripts/compare_real_images.py"


rule compare_synthetic_images:
    input:
        unpack(inputs.real_images_beside),
        samples="results/{study}/fidelity/{generator}/{scope}/step-{step}/samples.parquet",
        features=inputs.memorization_features,
    output:
        comparison="results/{study}/memorization/{generator}/{scope}/step-{step}.csv",
    log:
        "results/{study}/logs/compare_synthetic_images/{generator}/{scope}/{step}.log",
    conda:
        "../envs/gpu.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.compare_synthetic_images,
        code=fingerprint("memorization.comparing", script="compare_synthetic_images"),
    script:
        "../scripts/compare_synthetic_images.py"


rule audit_generator:
    input:
        comparisons=inputs.comparisons,
        references=inputs.memorization_references,
        selected="results/{study}/fidelity/{generator}/selected.json",
    output:
        images="results/{study}/memorization/{generator}/images.csv",
        summary="results/{study}/memorization/{generator}/summary.csv",
        power="results/{study}/memorization/{generator}/power.csv",
        alarms="results/{study}/memorization/{generator}/alarms.csv",
    log:
        "results/{study}/logs/audit_generator/{generator}.log",
    conda:
        "../envs/stats.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.audit_generator,
        code=fingerprint("memorization.auditing", script="audit_generator"),
    script:
        "../scripts/audit_generator.py"


rule collect_memorization:
    input:
        tables=inputs.audits,
    output:
        collected="results/{study}/scores/memorization_{audited}.csv",
    log:
        "results/{study}/logs/collect_memorization/{audited}.log",
    wildcard_constraints:
        audited="summary|power",
    conda:
        "../envs/stats.yaml"
    params:
        code=fingerprint("memorization.collecting", script="collect_memorization"),
    script:
        "../scripts/collect_memorization.py"


rule draw_closest_pairs:
    input:
        unpack(inputs.audited),
    output:
        png=report(
            "results/{study}/figures/closest_pairs_{generator}.png",
            caption="../report/closest_pairs.rst",
            category="Images",
        ),
        pdf="results/{study}/figures/closest_pairs_{generator}.pdf",
    log:
        "results/{study}/logs/draw_closest_pairs/{generator}.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_closest_pairs,
        code=fingerprint("memorization.pairs", script="draw_closest_pairs"),
    script:
        "../scripts/draw_closest_pairs.py"
