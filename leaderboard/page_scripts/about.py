"""About the numbers: what they mean, how they came about, and how to get them again."""

import streamlit as st

from lukv_bench import __version__
from lukv_bench.db.frames.commands import read_commands
from lukv_bench.db.frames.environments import read_environments
from lukv_bench.db.frames.pages import read_task_pages
from lukv_bench.leaderboard import definitions, state, text
from lukv_bench.leaderboard.downloads import show_table
from lukv_bench.leaderboard.incomplete import show_incomplete
from lukv_bench.leaderboard.ranks import configurations_of
from lukv_bench.leaderboard.tables.about import environments_table, setting_table, tasks_table
from lukv_bench.leaderboard.tables.ranking import configuration_cells
from lukv_bench.leaderboard.view import View, current_view, place_label

TASKS = {
    "task": "Task",
    "version": "Version",
    "lengths": "Lengths",
    "samples": "Samples",
    "family": "Family",
    "metric": "Metric",
    "summary": "What is asked",
    "source": "Source",
}
SETTING = {
    "property": st.column_config.TextColumn("Property", width=150),
    "value": st.column_config.TextColumn("Value", width=680),
}
ENVIRONMENTS = {
    "machine": "Machine",
    "device": "Device",
    "python": "Python",
    "platform": "Platform",
    "packages": "Packages",
    "n_runs": "Runs",
    "first_run_at": "First",
    "last_run_at": "Last",
}


def show(view: View) -> None:
    """Draw the page."""
    st.title("About the numbers")
    st.caption(f"Shown by lukv-bench {__version__}; the database is only read.")
    _show_record(view)
    _show_command(view)
    st.header("Words")
    st.markdown(definitions.WORDS)
    st.header("Protocol")
    st.markdown(definitions.PROTOCOLS.get(view.setting.protocol, ""))
    st.markdown(definitions.EVICTION)
    st.header("Statistics")
    st.markdown(definitions.STATISTICS)


def _show_record(view: View) -> None:
    st.header("This setting")
    setting = setting_table(view)
    show_table(setting, setting, "setting", alt="What the results of this setting share", columns=SETTING)
    st.subheader("Tasks")
    tasks = tasks_table(view.pool, view.record.read(read_task_pages))
    show_table(tasks.rename(columns=TASKS), tasks, "task-definitions", alt="Tasks of this setting")
    st.subheader("Machines and packages")
    st.write("Of every run in this database.")
    environments = environments_table(view.record.read(read_environments))
    shown = environments[list(ENVIRONMENTS)].rename(columns=ENVIRONMENTS)
    show_table(shown, environments, "environments", alt="Machines and packages of the runs")


def _show_command(view: View) -> None:
    st.header("Reproduce a result")
    st.write("The command of the run that gave the newest answer, narrowed down to one result.")
    about = configurations_of(view)
    chosen = state.choice("result", "Configuration", list(about.index), shown=lambda each: about.at[each, "name"])
    show_incomplete(view, [chosen])
    cells = configuration_cells(view.pool, chosen)
    places = dict(zip(cells["cell"], zip(cells["task"], cells["length"], strict=True), strict=True))
    cell = state.choice("on", "Task and length", list(places), shown=lambda each: place_label(places[each]))
    command = view.record.read(read_commands, [cell]).get(cell)
    if command is None:
        st.info("No answer says which run gave it, so the command is not known.")
    else:
        st.code(text.block(command), language=None, wrap_lines=True)


show(current_view())
