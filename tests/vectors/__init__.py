"""Test vectors written as syntax elements, and the page of rules that is made of them."""
