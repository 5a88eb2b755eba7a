"""Tables and the report, from scores alone: of this study, or of the papers."""


localrules:
    read_published,
    render_table,


ruleorder: read_published > collect_runs
ruleorder: read_published > collect_fidelity
ruleorder: read_published > summarise_ratings


rule read_published:
    input:
        expand(
            "resources/published/{table}.csv",
            table=["table5_fid", "table6_ratings", "table7_accuracy", "table9_per_class"],
        ),
    output:
        fidelity="results/published/scores/fidelity.csv",
        ratings="results/published/scores/ratings.csv",
        cells="results/published/scores/cells.csv",
    log:
        "results/published/logs/read_published.log",
    conda:
        "../envs/stats.yaml"
    params:
        code=fingerprint("published", script="read_published"),
    script:
        "../scripts/read_published.py"


rule render_table:
    input:
        scores=inputs.table_scores,
    output:
        csv="results/{study}/tables/{table}.csv",
        markdown="results/{study}/tables/{table}.md",
        latex="results/{study}/tables/{table}.tex",
        html="results/{study}/tables/{table}.html",
    log:
        "results/{study}/logs/render_table/{table}.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.render_table,
        code=fingerprint("tables", script="render_table"),
    script:
        "../scripts/render_table.py"


rule write_report:
    input:
        unpack(mendable(inputs.report)),
    output:
        html="results/{study}/report/index.html",
    log:
        "results/{study}/logs/write_report.log",
    conda:
        "../envs/stats.yaml"
    params:
        spec=specs.write_report,
        page=contents(*(HOUSE / "workflow" / "report").iterdir()),
        code=fingerprint("report", script="write_report"),
    script:
        "../scripts/write_report.py"
