"""Generators are trained as chains of segments: a checkpoint and the training state that the next segment takes up."""


localrules:
    record_weights,


ruleorder: finish_generator > train_generator


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
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
        index="results/{study}/data/train/index.csv",
        state=inputs.previous_state,
    output:
        checkpoint=directory("results/{study}/generators/{generator}/{scope}/step-{step}"),
        state=temp("results/{study}/generators/{generator}/{scope}/state-{step}.pt"),
    log:
        "results/{study}/logs/train_generator/{generator}/{scope}/{step}.log",
    benchmark:
        "results/{study}/benchmarks/train_generator/{generator}/{scope}/{step}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["threads"]
    resources:
        gpu=lambda wildcards: config["generators"][wildcards.generator]["gpus"],
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=1440,
    params:
        spec=specs.train_generator,
        code=training_code,
    script:
        "../scripts/train_generator.py"


# The last state of a chain is kept, so that a longer training adds segments to a finished one. (So is a state at the
# last step of another generator, which does no harm.)
use rule train_generator as finish_generator with:
    output:
        checkpoint=directory("results/{study}/generators/{generator}/{scope}/step-{step}"),
        state="results/{study}/generators/{generator}/{scope}/state-{step}.pt",
    wildcard_constraints:
        step=any_of(str(study.steps(generator)[-1]) for generator in config["generators"]),
