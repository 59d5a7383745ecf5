"""The pages, a file each: a script that Streamlit runs, which wires frames to tables and figures."""
