"""Figures: from scores, and sheets of images."""


rule draw_figure:
    input:
        scores=inputs.figure_scores,
    output:
        png=report("results/{study}/figures/{figure}.png", caption="../report/{figure}.rst", category="Figures"),
        pdf="results/{study}/figures/{figure}.pdf",
    log:
        "results/{study}/logs/draw_figure/{figure}.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_figure,
        code=fingerprint("figures", script="draw_figure"),
    script:
        "../scripts/draw_figure.py"


rule draw_real_samples:
    input:
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
        index="results/{study}/data/train/index.csv",
    output:
        png=report("results/{study}/figures/samples_real.png", caption="../report/samples_real.rst", category="Images"),
        pdf="results/{study}/figures/samples_real.pdf",
    log:
        "results/{study}/logs/draw_real_samples.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_samples,
        code=fingerprint("sheets", script="draw_real_samples"),
    script:
        "../scripts/draw_real_samples.py"


rule draw_synthetic_samples:
    input:
        shards=inputs.first_shards,
    output:
        png=report(
            "results/{study}/figures/samples_synthetic_{generator}.png",
            caption="../report/samples_synthetic.rst",
            category="Images",
        ),
        pdf="results/{study}/figures/samples_synthetic_{generator}.pdf",
    log:
        "results/{study}/logs/draw_synthetic_samples/{generator}.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_samples,
        code=fingerprint("sheets", script="draw_synthetic_samples"),
    script:
        "../scripts/draw_synthetic_samples.py"


rule draw_generator_samples:
    input:
        shards=inputs.all_first_shards,
        images=f"results/{{study}}/data/train/images-{config['dataset']['size']}.npy",
        index="results/{study}/data/train/index.csv",
    output:
        png=report(
            "results/{study}/figures/samples_generators.png",
            caption="../report/samples_generators.rst",
            category="Images",
        ),
        pdf="results/{study}/figures/samples_generators.pdf",
    log:
        "results/{study}/logs/draw_generator_samples.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_generator_samples,
        code=fingerprint("sheets", script="draw_generator_samples"),
    script:
        "../scripts/draw_generator_samples.py"


rule draw_progression:
    input:
        samples=inputs.samples,
        curves="results/{study}/fidelity/{generator}/curves.csv",
    output:
        png=report(
            "results/{study}/figures/figure3_progression_{generator}.png",
            caption="../report/figure3_progression.rst",
            category="Images",
        ),
        pdf="results/{study}/figures/figure3_progression_{generator}.pdf",
    log:
        "results/{study}/logs/draw_progression/{generator}.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.draw_progression,
        code=fingerprint("sheets", script="draw_progression"),
    script:
        "../scripts/draw_progression.py"
