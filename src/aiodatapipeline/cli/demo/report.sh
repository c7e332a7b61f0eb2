# The report: the totals of each currency in euros, and what sold best.
# INPUT1 has the sales by country, INPUT2 those by product, INPUT3 the exchange rates.
set -eu

echo "Sales in January, in EUR"
echo
awk -F, '
    FNR == NR { rate[$1] = $2; next }
    !($2 in rate) { print "no exchange rate of " $2 > "/dev/stderr"; exit 1 }
    { total = $3 / rate[$2]; all += total; printf "  %-8s %10.2f\n", $1, total }
    END { printf "  %-8s %10.2f\n", "all", all }
' "$INPUT3_STAGING_DIR/rates.csv" "$INPUT1_STAGING_DIR/countries.csv"
echo
echo "Sold best"
echo
awk -F, '{ printf "  %-8s %10d pieces\n", $1, $2 }' "$INPUT2_STAGING_DIR/products.csv"
