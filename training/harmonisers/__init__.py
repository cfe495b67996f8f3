"""What makes a copied tumour look like T2."""
