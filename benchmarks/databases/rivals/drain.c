/* Reads the rows of a query from MySQL or MariaDB as they come and drops them: what no client can be faster than.

   drain QUERY      the server is that of MYSQL_HOST, MYSQL_PORT, MYSQL_USER, MYSQL_PASSWORD and MYSQL_DATABASE

   Prints the number of rows. */
#include <mariadb/mysql.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    MYSQL *line = mysql_init(NULL);
    if (count != 2 || line == NULL)
        return 2;
    if (!mysql_real_connect(line, getenv("MYSQL_HOST"), getenv("MYSQL_USER"), getenv("MYSQL_PASSWORD"),
                            getenv("MYSQL_DATABASE"), (unsigned)atoi(getenv("MYSQL_PORT")), NULL, 0)
        || mysql_query(line, arguments[1]) != 0) {
        fprintf(stderr, "%s\n", mysql_error(line));
        return 1;
    }
    MYSQL_RES *rows = mysql_use_result(line);
    unsigned long long read = 0;
    while (rows != NULL && mysql_fetch_row(rows) != NULL)
        read++;
    if (mysql_errno(line) != 0) {
        fprintf(stderr, "%s\n", mysql_error(line));
        return 1;
    }
    mysql_free_result(rows);
    mysql_close(line);
    printf("%llu\n", read);
    return 0;
}
