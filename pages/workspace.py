"""Workspace: how do I come back to it, and what may I use? Only on a server that strangers share."""

import streamlit as st
from components.workspace.away import everything
from components.workspace.lesson import lessons
from components.workspace.own import private_link, shares

st.title("Workspace")
private_link()
shares()
lessons()
everything()
