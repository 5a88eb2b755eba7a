"""Generators are trained as chains of segments: a checkpoint and the training state that the next segment takes up."""


localrules:
    record_weights,


ruleorder: import_generator > finish_generator > train_generator


# Weights and the names of architectures are looked at before all else: what is missing stops the study before it costs
# GPU hours. By priority, not as an input of trainings: a further classifier would train all generators again.
rule record_weights:
    input:
        inputs.weights,
    output:
        record="results/{study}/weights/record.json",
    log:
        "results/{study}/logs/record_weights.log",
    priority: 100
    conda:
        "../envs/gpu.yaml"
    params:
        spec=specs.record_weights,
        code=fingerprint("weights", script="record_weights"),
    script:
        "../scripts/record_weights.py"


rule train_generator:
    input:
        unpack(inputs.training_set),
    output:
        checkpoint=directory("results/{study}/generators/{generator}/{scope}/step-{step}"),
        state=temp("results/{study}/generators/{generator}/{scope}/state-{step}.safetensors"),
    log:
        "results/{study}/logs/train_generator/{generator}/{scope}/{step}.log",
    benchmark:
        "results/{study}/benchmarks/train_generator/{generator}/{scope}/{step}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=lambda wildcards: config["generators"][wildcards.generator]["gpus"],
        mem_mb=training_memory,
        runtime=1440,
    params:
        spec=specs.train_generator,
        code=codes.training,
        memory=memory_settings,
    script:
        "../scripts/train_generator.py"


# The last state of a chain is kept, so that a longer training adds segments to a finished one.
use rule train_generator as finish_generator with:
    output:
        checkpoint=directory("results/{study}/generators/{generator}/{scope}/step-{step}"),
        state="results/{study}/generators/{generator}/{scope}/state-{step}.safetensors",
    wildcard_constraints:
        generator=ENDED,


# In place of a checkpoint: a class of the images that someone else made, all there are of it.
rule import_generator:
    input:
        images=inputs.outside_images,
        index=f"{inputs.home}/data/index.csv",
        splits=inputs.other_splits,
    output:
        checkpoint=directory("results/{study}/generators/{generator}/{scope}/step-0"),
    log:
        "results/{study}/logs/import_generator/{generator}/{scope}.log",
    benchmark:
        "results/{study}/benchmarks/import_generator/{generator}/{scope}.tsv"
    wildcard_constraints:
        generator=any_of(study.outside()),
    # Before trainings: what is wrong with these images stops the study early.
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        spec=specs.import_generator,
        code=fingerprint("outside_images", script="import_generator"),
        needed=images_needed,
    script:
        "../scripts/import_generator.py"
