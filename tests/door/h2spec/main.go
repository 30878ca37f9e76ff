// Runs h2spec: h2spec PORT PATH REPORT [SECTION…]; REPORT is a JUnit file.
package main

import (
	"log"
	"os"
	"strconv"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	_, err = h2spec.Run(&config.Config{
		Host: "127.0.0.1", Port: port, Path: os.Args[2], JUnitReport: os.Args[3],
		Timeout: time.Second, MaxHeaderLen: 4000, Strict: true, Sections: os.Args[4:],
	})
	if err != nil {
		log.Fatal(err)
	}
}
