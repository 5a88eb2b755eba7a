"""What the study will run, what that costs, and what it could find: said before anything is trained."""


localrules:
    plan,
    plan_study,


# A target. Without an output it runs, and shows the plan, whenever it is asked for.
rule plan:
    input:
        markdown=f"{inputs.home}/plan.md",
    log:
        f"{inputs.home}/logs/plan.log",
    conda:
        "../envs/stats.yaml"
    script:
        "../scripts/plan.py"


rule plan_study:
    input:
        unpack(mendable(inputs.planned)),
        rates="resources/rates.csv",
        published=expand(
            "resources/published/{table}.csv",
            table=["table5_fid", "table6_ratings", "table7_accuracy", "table9_per_class"],
        ),
    output:
        markdown="results/{study}/plan.md",
        csv="results/{study}/plan.csv",
    log:
        "results/{study}/logs/plan_study.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.plan_study,
        # So that a plan is made anew when jobs have finished.
        finished=inputs.finished,
        code=fingerprint("planning.outputs", script="plan_study"),
    script:
        "../scripts/plan_study.py"
